"""Lists the packages that a release contains, in the functions and the site, with their
licences.
"""
