"""Reading of one job from the files of its folder."""
