"""What some units can do beside moving, fighting and harvesting."""
