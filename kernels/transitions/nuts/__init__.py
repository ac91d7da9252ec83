"""The No-U-Turn sampler, for one chain or many in step."""
