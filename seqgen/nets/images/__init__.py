"""Networks that tell images apart."""
