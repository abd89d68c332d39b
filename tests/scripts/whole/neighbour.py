# args: skipped
WORD = "beside"
