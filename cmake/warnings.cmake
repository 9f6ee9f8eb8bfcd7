# quash_compile(TARGET): how every piece of C here is compiled.
function(quash_compile target)
  set_target_properties(${target} PROPERTIES
    C_STANDARD 17 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF
    C_VISIBILITY_PRESET hidden
    POSITION_INDEPENDENT_CODE ON)
  target_compile_definitions(${target} PRIVATE _POSIX_C_SOURCE=200809L)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
    -Wvla -Wcast-qual -Wformat=2 -Wundef)
  if(QUASH_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(QUASH_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${QUASH_SANITIZE} -fno-omit-frame-pointer
                                             -fno-sanitize-recover=all)
    target_link_options(${target} PRIVATE -fsanitize=${QUASH_SANITIZE})
  endif()
endfunction()
