"""The colors of the plots."""

RED, PURPLE, GREY, GREEN = "#d62728", "#9467bd", "#7f7f7f", "#2ca02c"
BLUE, ORANGE = "#1f77b4", "#ff7f0e"
