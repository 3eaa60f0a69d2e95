"""Text in any cutting."""
