"""What people and other programs are told: progress, summaries, tables, the log file. Changes nothing."""
