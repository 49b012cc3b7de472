"""What a proof shows people: report, figures, model card."""
