"""From files' arrays to what the models read, and back: images, video and sound, text, optical flow."""
