"""Pages of the site that are made from the code while it is built; none of them is committed."""
