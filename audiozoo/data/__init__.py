"""From sound files to training batches: reading, features, datasets, pipelines."""
