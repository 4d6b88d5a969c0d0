"""Running a bundle: sizes, sessions, segmenters and their results. Nothing here imports torch."""
