"""Where images are invented: generators and discriminators, the game between them, and how it goes wrong."""
