"""Where bytes become tensors: tokenizers, corpora, the order of examples."""
