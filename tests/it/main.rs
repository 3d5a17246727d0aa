//! Drives rosterd, library and binary, against the sandbox.
