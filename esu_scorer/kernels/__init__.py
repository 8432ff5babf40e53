"""Compiled kernels of the network's fused form on the CPU (see `esu_scorer.fused`)."""
