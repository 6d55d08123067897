"""Lists what a release ships: packages of the functions and of the site, with their licences."""
