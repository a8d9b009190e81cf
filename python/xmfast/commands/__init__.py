"""What the commands of the command line do; ``xmfast.cli`` says what can be typed."""
