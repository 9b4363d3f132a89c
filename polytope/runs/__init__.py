"""Long runs: batches on executors, directories, evidence."""
