"""The commands of the command line, one file each; they know both the models' readers and the engine."""
