"""Commands that read: molecules, calculations, batches, the audit trail, metrics, datasets."""
