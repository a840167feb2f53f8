"""What our HTTP servers share: where they listen, and the tokens that they are shown."""
