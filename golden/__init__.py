"""What a layer means: numpy, bit-exact, untiled, free of hardware and of mappings."""
