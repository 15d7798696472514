"""`budget`: a recipe is measured on a few of its pictures, and made as long as a run may take."""
