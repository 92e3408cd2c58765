"""Sessions on OpenVINO."""
