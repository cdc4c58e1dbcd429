"""LEED: expert demonstrations by a language model for decentralised multi-agent reinforcement learning on streets."""

__version__ = "0.1.0"
