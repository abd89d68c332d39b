"""Hugging Face models: their classes, configs and inputs. Other rooms use `known_fields` of `configs`."""
