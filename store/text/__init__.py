"""What is to be known of a text itself: its language, its terms, whether it speaks to the model."""
