"""What GRPO costs on a CUDA GPU: one script, without network and without SUMO."""
