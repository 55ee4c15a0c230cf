"""The tables, as migrations, and what is kept right by triggers."""
