"""Networks that learn the slope of a level's density in warm-up, and are judged before they are followed."""
