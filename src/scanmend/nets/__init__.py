"""Networks, in torch: what is trained here and exported to a model file."""
