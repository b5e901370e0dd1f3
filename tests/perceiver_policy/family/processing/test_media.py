"""Images, video and sound on their way in and out."""

import numpy as np
import pytest
import torch
import transformers

from perceiver_policy.family.modalities import Patches
from perceiver_policy.family.processing.media import (
    depth_to_space,
    postprocess_audio,
    postprocess_video,
    preprocess_audio,
    preprocess_images,
    preprocess_video,
)


def test_images_are_cropped_resized_and_normalized():
    """Against Pillow's bicubic, which transformers' processor uses, and by hand where nothing has to be resized."""
    generator = torch.Generator().manual_seed(0)
    smooth = torch.nn.functional.interpolate(
        torch.rand(1, 3, 12, 17, generator=generator), size=(300, 420), mode="bicubic"
    ).clamp(0, 1)[0]
    image = (smooth * 255).round().to(torch.uint8)
    found = preprocess_images(image)
    processor = transformers.PerceiverImageProcessorPil()
    wanted = processor(np.asarray(image.permute(1, 2, 0)), return_tensors="np")["pixel_values"][0]
    assert found.shape == (3, 224, 224)
    assert np.abs(found.numpy() - wanted).mean() < 0.02
    exact = torch.rand(2, 3, 64, 80, generator=generator)
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    torch.testing.assert_close(preprocess_images(exact, 56), (exact[..., 4:60, 12:68] - mean) / std)
    with pytest.raises(ValueError, match=r"expected images \[\.\.\., 3, height, width\], got \(5, 5\)"):
        preprocess_images(torch.zeros(5, 5))


def test_video_and_sound_there_and_back():
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(256, (2, 4, 6, 5, 3), generator=generator, dtype=torch.uint8)
    pixels = preprocess_video(frames)
    assert pixels.shape == (2, 4, 3, 6, 5)
    assert float(pixels.max()) <= 1.0
    answers = pixels.movedim(-3, -1).flatten(1, 3)
    assert torch.equal(postprocess_video(answers, (4, 6, 5)), frames)
    assert postprocess_video(answers + 9, (4, 6, 5)).min() == 255
    sound = torch.randint(-(2**15), 2**15, (2, 30), generator=generator).to(torch.int16)
    samples = preprocess_audio(sound, 40)
    assert samples.shape == (2, 40, 1)
    assert float(samples[:, 30:].abs().max()) == 0.0
    assert torch.equal(postprocess_audio(samples[..., 0])[:, :30], sound)
    assert torch.equal(preprocess_audio(sound, 7), samples[:, :7])
    assert postprocess_audio(torch.tensor([[3.0, -3.0]])).tolist() == [[2**15 - 1, -(2**15)]]
    with pytest.raises(ValueError, match="expected frames of bytes"):
        preprocess_video(frames.float())
    with pytest.raises(ValueError, match="expected samples"):
        preprocess_audio(sound[0], 4)


@pytest.mark.parametrize(("temporal", "time"), [(1, 1), (2, 4), (2, 2), (1, 3)])
def test_depth_to_space_undoes_patches(temporal, time):
    x = torch.randn(2, time, 3, 8, 12)
    blocks = Patches(3, spatial=4, temporal=temporal)(x if time > 1 else x[:, 0])
    again = depth_to_space(blocks, 4, temporal)
    assert torch.equal(again, x if time > 1 else x[:, 0])
    with pytest.raises(ValueError, match="do not divide into blocks of 1 x 5 x 5"):
        depth_to_space(blocks, 5)
