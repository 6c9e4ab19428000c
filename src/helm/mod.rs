//! Charts: the images they need, and the charts themselves as artifacts.
