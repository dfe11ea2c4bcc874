"""The *_SDA models: RecBole's own models with an encoded item embedding."""
