"""The run folder: its record, its checkpoints, and how a killed run resumes."""
