"""schedd: a scheduling daemon for one host. Importing this package stays light; the client is in `schedd.client`."""
