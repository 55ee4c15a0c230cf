"""What may be said: tools as they are offered, grammars, the values and spans that can stand in a field, the parser."""
