"""What Postline is measured against and has to be written: each as its framework's documentation teaches."""
