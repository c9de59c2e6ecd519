"""Sign-in through an LDAP directory."""
