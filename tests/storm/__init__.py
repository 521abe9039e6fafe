"""The storm: many processes on one small pool, killed at random moments, watched from outside."""
