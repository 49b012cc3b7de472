"""Pictures: decoding, a feature vector without a model, and perceptual hashes."""
