"""Files into text, one module a family of formats.

files      which reader reads what; sizes and refusals        kinds      the format of some bytes
plain      txt, md            html       pages                encodings  bytes into text
sheets     csv, xlsx          word       docx                 cells      numbers and dates as a person sees them
pdf        pages of text      pdf_lines  ruled tables         tables     rows into records
extract    what a reader gives
"""
