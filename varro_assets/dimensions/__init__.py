"""Dimensions: classifications, the dimension tables made of them, and which column of which table joins which."""
