"""Rows become tables: layouts, pages, pooled seeds, contests, and what each table rests on."""
