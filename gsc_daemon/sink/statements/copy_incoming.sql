COPY incoming ({columns}) FROM STDIN (FORMAT binary)
