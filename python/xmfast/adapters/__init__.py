"""What other libraries return, brought into the frames of xmfast. None of them is needed to import this package."""
