"""Context: the documents, value lists and map layers that analysts and their AI agents read before they write SQL."""
