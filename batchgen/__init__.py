"""batchgen: a list of prompts in, every video out, each paid for once."""

__version__ = "0.1.0"
