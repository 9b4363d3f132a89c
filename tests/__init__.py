"""Laws over families of networks, engines and domains."""
