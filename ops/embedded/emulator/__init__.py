"""Runs ministack, the embedded AWS, with limits, durable storage and corrected responses.

The emulator is a separate process without the project on its import path, so modules of this
package import no other modules of the project.
"""
