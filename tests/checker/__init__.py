"""A small checker in the style of Jepsen (jepsen.io).

People write, read and follow while processes, Redis and database connections are broken under them; everybody notes
what they were told and when. Afterwards `history.violations` compares the notes with each other and with the promises.
"""
